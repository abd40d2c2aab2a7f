"""Every answer as it is kept in the inference log, and as the message that other systems get.

Must not be here: how an answer comes about.
"""

"""The service as HTTP: routes, strict bodies, problem details, the OpenAPI document.

Must not be here: how an answer comes about.
"""

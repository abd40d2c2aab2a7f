"""An older commit beside this code, round by round: is anything slower than it was?"""

"""What a candidate must show to become a release. Pure: from arrays and settings to a verdict; ``docs/decisions/gates.md``."""

"""HTTP routes: each handler delegates to the data plane."""

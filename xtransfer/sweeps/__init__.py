"""Many runs from one configuration: cells, who runs them, and what came out."""

"""Models of other frameworks: files in, networks out, and back."""

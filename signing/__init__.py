"""Signing what is said of an image, and telling who signed it: DSSE, Sigstore bundles, keys, keyless."""

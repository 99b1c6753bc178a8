"""Images where they lie: registries (OCI distribution-spec v1.1) and layout folders (image-spec v1.1), behind one port."""

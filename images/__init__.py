"""Images as data: Debian packages as locked inputs, layers and manifests as pure functions of trees."""

"""Whether an image may be used: a policy, what is known of the image, and a verdict with its reasons."""

"""What is in an image, where it came from and what is known against it: data in, data out, no system calls."""

"""What is known against a source and its images: a policy, reports, exceptions and a verdict. Data in, data out."""

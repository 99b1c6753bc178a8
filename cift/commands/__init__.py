"""The `cift` command: one module a verb."""

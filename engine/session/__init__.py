"""The session protocol: GraphQL over HTTP on loopback behind a token."""

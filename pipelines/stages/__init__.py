"""The stages: one public async function each, in Dagger's own types. They import ``dagger`` and nothing of an engine."""

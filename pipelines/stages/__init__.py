"""The stages: a public async function each, in Dagger's types. They import ``dagger`` and nothing of an engine."""

"""Pipeline as code: what is built is read from ``[tool.pipelines]`` of a project; nothing here names one."""

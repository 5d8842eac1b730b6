"""How fast everything is: engines, pipeline, node, and others' programs on the same frames."""

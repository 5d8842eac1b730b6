"""How a network is run: one interface, one module an engine, one function that picks."""

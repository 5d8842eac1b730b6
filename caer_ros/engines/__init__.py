# SPDX-License-Identifier: Apache-2.0
"""How a network is run: one interface, one module an engine, one function that picks."""

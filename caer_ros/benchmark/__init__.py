# SPDX-License-Identifier: Apache-2.0
"""How fast everything is: engines, pipeline, node, and others' programs on the same frames."""

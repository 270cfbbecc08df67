"""The JSON API: one file per resource, each a list of endpoints; routes and OpenAPI come from the same lists."""

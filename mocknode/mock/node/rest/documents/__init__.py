"""JSON documents of the REST API, apart from the routes that serve them; their types are the schemas of the OpenAPI document."""

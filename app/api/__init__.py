"""Everything HTTP: routes, middleware, keys, limits, schemas, and how uvicorn serves them."""

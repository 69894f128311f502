"""Makes the API's resources from the objects of ``app.paper`` and ``app.review``."""

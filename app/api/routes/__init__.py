"""The routes, one module per resource. Handlers only translate between HTTP and other packages."""

"""What `hyperprior` and `context-*` share: pyramid transforms, their weights files, a search."""

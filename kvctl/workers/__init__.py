"""What a Worker needs to reach its namespaces here: workerd's configuration, or an adapter."""

"""What runs minimise: the losses of a step, and what is trained or measured beside the network."""

"""Networks: plain torch modules, no losses and no loops."""

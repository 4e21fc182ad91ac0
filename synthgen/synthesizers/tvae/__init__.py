"""`tvae`: the variational autoencoder of the ctgan package over codes."""

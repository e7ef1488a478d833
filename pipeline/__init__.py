"""Everything that makes and uses a model: data, training, packages, evaluation. Never imports prefect."""

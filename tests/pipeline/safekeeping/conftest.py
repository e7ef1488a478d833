"""The registry's studios serve here too."""

from tests.pipeline.registry.conftest import three_versions

__all__ = ["three_versions"]

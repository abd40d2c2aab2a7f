"""The settings as runs are given them: of a data root that is there."""

import dagster as dg

from returnml.root import RootError, read_root
from returnml.settings import Settings


def root_settings(settings: Settings) -> dg.ResourceDefinition:
    """Definitions load without a data root, so that they can be looked at; a run in a folder that is none fails and says so."""

    @dg.resource(description="The settings of this code location.")
    def checked(_: dg.InitResourceContext) -> Settings:
        try:
            read_root(settings.paths.root)
        except RootError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        return settings

    return checked

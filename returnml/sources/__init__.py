"""Where landing files come from: the shop simulator, the Online Retail importer, the mapped CSV/JSON importer.

All write the one landing format of ``returnml.sources.landing``. Never imports dagster or touches the warehouse.
"""

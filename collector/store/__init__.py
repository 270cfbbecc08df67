"""Home's database: tables and queries in SQLAlchemy Core, migrations by alembic."""

"""Contains the connector of Microsoft SQL Server: `mssql://`. It comes with the extra `mssql`."""

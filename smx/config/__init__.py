"""Configuration: schema (Structs and tables, pure), parser, checker, spool, profiles."""

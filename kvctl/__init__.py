"""The operator's command line, and the whole store on one machine."""

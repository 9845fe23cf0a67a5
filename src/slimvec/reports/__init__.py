"""Reports on paper: tables, plots and pages, for evaluation, probes and studies alike."""

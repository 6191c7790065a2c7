// Every name comes from the sources.

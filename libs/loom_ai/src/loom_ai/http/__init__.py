"""HTTP as every model provider needs it: endpoints, bodies, bounded reading, and errors in words.

The providers' protocols and clients come in here; nothing in here knows one provider from another."""

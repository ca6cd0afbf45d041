"""How models are asked: providers, parameters, prices and further options of a call, as the pipeline file says them.

The definition of a pipeline and the model clients come in here."""

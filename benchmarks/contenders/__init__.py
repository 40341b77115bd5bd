"""One module for each library that can take the training step. Each has one function:

    build(case, inputs, option) -> step        step() takes one training step and returns its loss

All that a user does once (converting spikes, building the network, compiling) happens in ``build``.
"""

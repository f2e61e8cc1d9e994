"""From arrays and options to a plan, and from the plan to its result.

`convolve` (public) → `problem.prepare` → `planner.plan` → `schedule` → `Convolution.compute` → `execute`.

- the public function and its documentation: ``convolve``;
- types, exactness, non-finite samples, regions, what is kept for the next call: ``problem``, ``precision``;
- the choice of a backend: ``planner``, by the costs that backends count and the ``rates`` of this machine;
- tiles, pieces, passes and threads, decided once: ``schedule``, with ``polyphase`` (stride, dilation, huge
  kernels) and ``separable`` (1-D passes); ``execute`` follows it, and ``chunks`` says what fits a GPU;
- a matrix held against every backend: ``verification``.

A new option of every convolution is a field of ``problem.Options``. Imports the rooms up to ``backends``.
"""

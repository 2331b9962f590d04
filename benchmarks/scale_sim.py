"""SCALE-Sim on a topology, for systolic.py: for each layer its total cycles and the words that it moves to DRAM.

python scale_sim.py CONFIGURATION TOPOLOGY conv|gemm FOLDER
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from scalesim.scale_sim import scalesim

configuration, topology, form, folder = sys.argv[1:]
with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
    tool = scalesim(
        save_disk_space=True,
        verbose=False,
        config=configuration,
        topology=topology,
        layout=topology,  # any file with as many rows does: it isn't used
        input_type_gemm=form == "gemm",
    )
    tool.run_scale(top_path=folder)
layers = tool.runner.single_layer_sim_object_list
report = [(layer.get_compute_report_items()[1], layer.get_detail_report_items()) for layer in layers]
print(json.dumps([(cycles, items[11] + items[14] + items[17]) for cycles, items in report]))

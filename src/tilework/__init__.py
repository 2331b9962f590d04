"""Tilework: what a neural network costs, compiled and run. Names come when first used: importing costs nothing."""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tilework.compiler.loop_code import loop_code as loop_code
    from tilework.compiler.loops import Schedule as Schedule
    from tilework.compiler.loops import best_schedule as best_schedule
    from tilework.compiler.loops import input_stationary as input_stationary
    from tilework.compiler.loops import output_stationary as output_stationary
    from tilework.compiler.loops import weight_stationary as weight_stationary
    from tilework.cost.compare import compare as compare
    from tilework.cost.conventions import explain as explain
    from tilework.cost.utilisation import utilisation as utilisation
    from tilework.counting import count as count
    from tilework.counting import formulas as formulas
    from tilework.counting import load as load
    from tilework.counting import memory as memory
    from tilework.counting import roofline as roofline
    from tilework.counting import scale as scale
    from tilework.counting import scale_training as scale_training
    from tilework.counting import serving_curve as serving_curve
    from tilework.counting import training_curve as training_curve
    from tilework.doubling import what_if as what_if
    from tilework.errors import DataError as DataError
    from tilework.errors import NetworkError as NetworkError
    from tilework.executable import Executable as Executable
    from tilework.executable import compile_network as compile
    from tilework.executable import find_weights as find_weights
    from tilework.executable import load_executable as load_executable
    from tilework.executable import random_inputs as random_inputs
    from tilework.frontend.from_onnx import onnx_operator as onnx_operator
    from tilework.frontend.from_torch import torch_operator as torch_operator
    from tilework.frontend.images import digits as read_digits
    from tilework.frontend.topology import read_topology as read_topology
    from tilework.isa.assembly import parse_program as parse_program
    from tilework.isa.assembly import parse_text as parse_text
    from tilework.isa.decoder import control_diagram as control_diagram
    from tilework.isa.decoder import control_path as control_path
    from tilework.isa.decoder import diagram_text as diagram_text
    from tilework.isa.decoder import unit_diagram as unit_diagram
    from tilework.isa.decoder_svg import write_diagram as write_diagram
    from tilework.isa.instruction import Instruction as Instruction
    from tilework.isa.program import Layer as Layer
    from tilework.isa.program import Port as Port
    from tilework.isa.program import Program as Program
    from tilework.isa.table import OPCODES as OPCODES
    from tilework.isa.tile_language import parse_tiles as parse_tiles
    from tilework.machine.accelerator import Accelerator as Accelerator
    from tilework.machine.energy import area_estimate as area_estimate
    from tilework.machine.energy import at_node as at_node
    from tilework.machine.energy import energy_table as energy_table
    from tilework.machine.load import accelerator_names as accelerator_names
    from tilework.machine.load import load_accelerator as load_accelerator
    from tilework.machine.load import load_machine as load_machine
    from tilework.machine.machine import Machine as Machine
    from tilework.machine.matrix import InnerProductArray as InnerProductArray
    from tilework.machine.matrix import ScalarMacArray as ScalarMacArray
    from tilework.mapping import Assignment as Assignment
    from tilework.mapping import beside_found as beside_found
    from tilework.mapping import beside_found_text as beside_found_text
    from tilework.mapping import map_layer as map_layer
    from tilework.mapping import map_product as map_product
    from tilework.measuring import machine_here as measure_machine
    from tilework.measuring import measure as measure
    from tilework.network.activation import activation as activation
    from tilework.network.execute import execute as execute
    from tilework.network.gradient_check import check_gradient as check_gradient
    from tilework.network.graph import Graph as Graph
    from tilework.network.graph import GraphBuilder as GraphBuilder
    from tilework.network.graph_text import parse_graph as parse_graph
    from tilework.network.operation import Expansion as Expansion
    from tilework.network.operation import operation as operation
    from tilework.network.product import products as products
    from tilework.network.text import parse_nest as parse_nest
    from tilework.network.training import gradient as gradient
    from tilework.network.training import training_step as training_step
    from tilework.pixels import from_pixels as from_pixels
    from tilework.pixels import photograph as photograph
    from tilework.pixels import prepared as prepared
    from tilework.pixels import to_pixels as to_pixels
    from tilework.plain import columns as table
    from tilework.repeats import fit_seeds as fit_seeds
    from tilework.repeats import seeds_text as seeds_text
    from tilework.report.curves import draw_curves as draw_curves
    from tilework.report.market import draw_market as draw_market
    from tilework.report.measured import draw_measured as draw_measured
    from tilework.report.page.write import write_report as write_report
    from tilework.report.races import draw_races as draw_races
    from tilework.report.roofline import draw_roofline as draw_roofline
    from tilework.report.scaling import draw_scaling as draw_scaling
    from tilework.report.separation import draw_separation as draw_separation
    from tilework.report.tiles import draw_tiles as draw_tiles
    from tilework.report.timeline import Bar as Bar
    from tilework.report.timeline import draw_timeline as draw_timeline
    from tilework.report.trajectory import draw_paths as draw_paths
    from tilework.report.utilisation import draw_utilisation as draw_utilisation
    from tilework.simulator.cache import Cache as Cache
    from tilework.simulator.cache import with_cache as with_cache
    from tilework.simulator.cycle import simulate as simulate
    from tilework.simulator.hazards import find_races as find_races
    from tilework.simulator.issue import out_of_order as out_of_order
    from tilework.simulator.layers import simulate_topology as simulate_topology
    from tilework.simulator.tile_time import simulate_tiles as simulate_tiles
    from tilework.simulator.tile_time import tile_table as tile_table
    from tilework.simulator.timeline import events as events
    from tilework.simulator.timeline import gantt as gantt
    from tilework.train.data.augment import augmentation as augmentation
    from tilework.train.data.augment import mixup as mixup
    from tilework.train.data.batches import Batches as Batches
    from tilework.train.data.dataset import Dataset as Dataset
    from tilework.train.data.digits import Digits as Digits
    from tilework.train.data.digits import digits as digits
    from tilework.train.data.folders import ImageFolder as ImageFolder
    from tilework.train.data.folders import image_folder as image_folder
    from tilework.train.data.idx import read_idx as read_idx
    from tilework.train.data.idx import write_idx as write_idx
    from tilework.train.data.tfrecord import read_tfrecord as read_tfrecord
    from tilework.train.data.tfrecord import write_tfrecord as write_tfrecord
    from tilework.train.eager import Variable as Variable
    from tilework.train.eager import eager as eager
    from tilework.train.engine import Engine as Engine
    from tilework.train.half import mixed as mixed_precision
    from tilework.train.initial import initial_weights as initial_weights
    from tilework.train.recipe import load_recipe as load_recipe
    from tilework.train.schedules import schedule as schedule
    from tilework.train.sources import Data as Data
    from tilework.train.sparse import stored_sizes as stored_sizes
    from tilework.train.speedup import comparison_text as comparison_text
    from tilework.train.statistics import mean as bootstrap_mean
    from tilework.training import fit as fit
    from tilework.training import speedup as speedup
    from tilework.validation.table import validate as validate

__version__ = "0.1.0"

_EXPORTS = {  # name: where it is
    "Accelerator": "tilework.machine.accelerator:Accelerator",
    "Assignment": "tilework.mapping:Assignment",
    "Bar": "tilework.report.timeline:Bar",
    "Batches": "tilework.train.data.batches:Batches",
    "Cache": "tilework.simulator.cache:Cache",
    "Data": "tilework.train.sources:Data",
    "DataError": "tilework.errors:DataError",
    "Dataset": "tilework.train.data.dataset:Dataset",
    "Digits": "tilework.train.data.digits:Digits",
    "Engine": "tilework.train.engine:Engine",
    "Executable": "tilework.executable:Executable",
    "Expansion": "tilework.network.operation:Expansion",
    "Graph": "tilework.network.graph:Graph",
    "GraphBuilder": "tilework.network.graph:GraphBuilder",
    "ImageFolder": "tilework.train.data.folders:ImageFolder",
    "InnerProductArray": "tilework.machine.matrix:InnerProductArray",
    "Instruction": "tilework.isa.instruction:Instruction",
    "Layer": "tilework.isa.program:Layer",
    "Machine": "tilework.machine.machine:Machine",
    "NetworkError": "tilework.errors:NetworkError",
    "OPCODES": "tilework.isa.table:OPCODES",
    "Port": "tilework.isa.program:Port",
    "Program": "tilework.isa.program:Program",
    "ScalarMacArray": "tilework.machine.matrix:ScalarMacArray",
    "Schedule": "tilework.compiler.loops:Schedule",
    "Variable": "tilework.train.eager:Variable",
    "accelerator_names": "tilework.machine.load:accelerator_names",
    "activation": "tilework.network.activation:activation",
    "area_estimate": "tilework.machine.energy:area_estimate",
    "at_node": "tilework.machine.energy:at_node",
    "augmentation": "tilework.train.data.augment:augmentation",
    "beside_found": "tilework.mapping:beside_found",
    "beside_found_text": "tilework.mapping:beside_found_text",
    "best_schedule": "tilework.compiler.loops:best_schedule",
    "bootstrap_mean": "tilework.train.statistics:mean",
    "check_gradient": "tilework.network.gradient_check:check_gradient",
    "compare": "tilework.cost.compare:compare",
    "comparison_text": "tilework.train.speedup:comparison_text",
    "compile": "tilework.executable:compile_network",
    "control_diagram": "tilework.isa.decoder:control_diagram",
    "control_path": "tilework.isa.decoder:control_path",
    "count": "tilework.counting:count",
    "diagram_text": "tilework.isa.decoder:diagram_text",
    "digits": "tilework.train.data.digits:digits",
    "draw_curves": "tilework.report.curves:draw_curves",
    "draw_market": "tilework.report.market:draw_market",
    "draw_measured": "tilework.report.measured:draw_measured",
    "draw_paths": "tilework.report.trajectory:draw_paths",
    "draw_races": "tilework.report.races:draw_races",
    "draw_roofline": "tilework.report.roofline:draw_roofline",
    "draw_scaling": "tilework.report.scaling:draw_scaling",
    "draw_separation": "tilework.report.separation:draw_separation",
    "draw_tiles": "tilework.report.tiles:draw_tiles",
    "draw_timeline": "tilework.report.timeline:draw_timeline",
    "draw_utilisation": "tilework.report.utilisation:draw_utilisation",
    "eager": "tilework.train.eager:eager",
    "energy_table": "tilework.machine.energy:energy_table",
    "events": "tilework.simulator.timeline:events",
    "execute": "tilework.network.execute:execute",
    "explain": "tilework.cost.conventions:explain",
    "find_races": "tilework.simulator.hazards:find_races",
    "find_weights": "tilework.executable:find_weights",
    "fit": "tilework.training:fit",
    "fit_seeds": "tilework.repeats:fit_seeds",
    "formulas": "tilework.counting:formulas",
    "from_pixels": "tilework.pixels:from_pixels",
    "gantt": "tilework.simulator.timeline:gantt",
    "gradient": "tilework.network.training:gradient",
    "image_folder": "tilework.train.data.folders:image_folder",
    "initial_weights": "tilework.train.initial:initial_weights",
    "input_stationary": "tilework.compiler.loops:input_stationary",
    "load": "tilework.counting:load",
    "load_accelerator": "tilework.machine.load:load_accelerator",
    "load_executable": "tilework.executable:load_executable",
    "load_machine": "tilework.machine.load:load_machine",
    "load_recipe": "tilework.train.recipe:load_recipe",
    "loop_code": "tilework.compiler.loop_code:loop_code",
    "map_layer": "tilework.mapping:map_layer",
    "map_product": "tilework.mapping:map_product",
    "measure": "tilework.measuring:measure",
    "measure_machine": "tilework.measuring:machine_here",
    "memory": "tilework.counting:memory",
    "mixed_precision": "tilework.train.half:mixed",
    "mixup": "tilework.train.data.augment:mixup",
    "onnx_operator": "tilework.frontend.from_onnx:onnx_operator",
    "operation": "tilework.network.operation:operation",
    "out_of_order": "tilework.simulator.issue:out_of_order",
    "output_stationary": "tilework.compiler.loops:output_stationary",
    "parse_graph": "tilework.network.graph_text:parse_graph",
    "parse_nest": "tilework.network.text:parse_nest",
    "parse_program": "tilework.isa.assembly:parse_program",
    "parse_text": "tilework.isa.assembly:parse_text",
    "parse_tiles": "tilework.isa.tile_language:parse_tiles",
    "photograph": "tilework.pixels:photograph",
    "prepared": "tilework.pixels:prepared",
    "products": "tilework.network.product:products",
    "random_inputs": "tilework.executable:random_inputs",
    "read_digits": "tilework.frontend.images:digits",
    "read_idx": "tilework.train.data.idx:read_idx",
    "read_tfrecord": "tilework.train.data.tfrecord:read_tfrecord",
    "read_topology": "tilework.frontend.topology:read_topology",
    "roofline": "tilework.counting:roofline",
    "scale": "tilework.counting:scale",
    "scale_training": "tilework.counting:scale_training",
    "schedule": "tilework.train.schedules:schedule",
    "seeds_text": "tilework.repeats:seeds_text",
    "serving_curve": "tilework.counting:serving_curve",
    "simulate": "tilework.simulator.cycle:simulate",
    "simulate_tiles": "tilework.simulator.tile_time:simulate_tiles",
    "simulate_topology": "tilework.simulator.layers:simulate_topology",
    "speedup": "tilework.training:speedup",
    "stored_sizes": "tilework.train.sparse:stored_sizes",
    "table": "tilework.plain:columns",
    "tile_table": "tilework.simulator.tile_time:tile_table",
    "to_pixels": "tilework.pixels:to_pixels",
    "torch_operator": "tilework.frontend.from_torch:torch_operator",
    "training_curve": "tilework.counting:training_curve",
    "training_step": "tilework.network.training:training_step",
    "unit_diagram": "tilework.isa.decoder:unit_diagram",
    "utilisation": "tilework.cost.utilisation:utilisation",
    "validate": "tilework.validation.table:validate",
    "weight_stationary": "tilework.compiler.loops:weight_stationary",
    "what_if": "tilework.doubling:what_if",
    "with_cache": "tilework.simulator.cache:with_cache",
    "write_diagram": "tilework.isa.decoder_svg:write_diagram",
    "write_idx": "tilework.train.data.idx:write_idx",
    "write_report": "tilework.report.page.write:write_report",
    "write_tfrecord": "tilework.train.data.tfrecord:write_tfrecord",
}

__all__ = [*_EXPORTS, "__version__"]


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'tilework' has no attribute {name!r}")
    module, _, attribute = _EXPORTS[name].partition(":")
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})

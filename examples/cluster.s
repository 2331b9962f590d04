; Four cores and a mover: a 32 x 64 matrix times a 64 x 64 one, 16 columns of the result on each core. For dlp-m4.
;
;   tilework simulate examples/cluster.s --on dlp-m4 --timeline
;
; The mover reads the inputs from DRAM once and sends them to all four cores, while each core loads its own 16 columns of
; the weights. The results meet in the SRAM, and the mover writes them to DRAM as one piece.
;
; DRAM   0x0000  inputs [32][64]    0x2000  weights [64 columns][64]    0x6000  results [32][64]
; SRAM   0x0000  inputs             0x2000  results
; NRAM   0x0000  inputs             0x2000  16 columns of the results, [32][16]
; WRAM   0x0000  16 columns of the weights, [16][64]
;
; All cores execute the same instructions; what differs is in r2 and r3, which follow from the core's number.

.core 0 0
rank r1
smul r2 = r1, #4096
smul r3 = r1, #64
load <1024> wram 0x0 {4} = dram 0x2000+r2 {4}
; The inputs have come when this barrier is passed; it also waits for this core's own load.
barrier cluster
; Rows x columns x what is summed.
contract <32, 16, 64> nram 0x2000 {64, 4, 0} = nram 0x0 {256, 0, 4} * wram 0x0 {0, 256, 4}
post matrix 0
wait store 0
store <32, 16> sram 0x2000+r3 {256, 4} = nram 0x2000 {64, 4}
; A barrier waits for the store, too.
barrier cluster
end

.core 0 1
rank r1
smul r2 = r1, #4096
smul r3 = r1, #64
load <1024> wram 0x0 {4} = dram 0x2000+r2 {4}
barrier cluster
contract <32, 16, 64> nram 0x2000 {64, 4, 0} = nram 0x0 {256, 0, 4} * wram 0x0 {0, 256, 4}
post matrix 0
wait store 0
store <32, 16> sram 0x2000+r3 {256, 4} = nram 0x2000 {64, 4}
barrier cluster
end

.core 0 2
rank r1
smul r2 = r1, #4096
smul r3 = r1, #64
load <1024> wram 0x0 {4} = dram 0x2000+r2 {4}
barrier cluster
contract <32, 16, 64> nram 0x2000 {64, 4, 0} = nram 0x0 {256, 0, 4} * wram 0x0 {0, 256, 4}
post matrix 0
wait store 0
store <32, 16> sram 0x2000+r3 {256, 4} = nram 0x2000 {64, 4}
barrier cluster
end

.core 0 3
rank r1
smul r2 = r1, #4096
smul r3 = r1, #64
load <1024> wram 0x0 {4} = dram 0x2000+r2 {4}
barrier cluster
contract <32, 16, 64> nram 0x2000 {64, 4, 0} = nram 0x0 {256, 0, 4} * wram 0x0 {0, 256, 4}
post matrix 0
wait store 0
store <32, 16> sram 0x2000+r3 {256, 4} = nram 0x2000 {64, 4}
barrier cluster
end

.mover 0
load <2048> sram 0x0 {4} = dram 0x0 {4}
post load 0
wait cast 0
cast <2048> nram 0x0 {4} = sram 0x0 {4}
; The inputs are in all cores.
barrier cluster
; The results of all cores are in the SRAM.
barrier cluster
store <2048> dram 0x6000 {4} = sram 0x2000 {4}
end

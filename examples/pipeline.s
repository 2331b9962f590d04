; Load, compute, store, all at the same time: a 128 x 32 matrix times a 32 x 16 one, 16 rows at a time.
;
;   tilework simulate examples/pipeline.s --on dlp-s --timeline
;
; Inputs and sums have two tiles each: the loader fills one input tile while the matrix unit reads the other, and the
; matrix unit writes one tile of sums while the other is stored. The four tokens count tiles:
;
;   0 inputs loaded    1 input tile free    2 sums done    3 tile of sums free
;
; DRAM: weights [16][32] at 0x0, inputs [128][32] at 0x800, sums [128][16] at 0x4800.

; Both tiles of both kinds are free at the start.
post matrix 1
post matrix 1
post store 3
post store 3

load <512> wram 0x0 {4} = dram 0x0 {4}

loop 8
  wait load 1
  load <512> nram 0x0+(2048*i0) mod 4096 {4} = dram 0x800+2048*i0 {4}
  post load 0

  ; 16 rows x 16 columns, each a sum of 32 products. The weights came before the tile in the load queue: no token needed.
  wait matrix 0
  wait matrix 3
  contract <16, 16, 32> nram 0x1000+(1024*i0) mod 2048 {64, 4, 0} = nram 0x0+(2048*i0) mod 4096 {128, 0, 4} * wram 0x0 {0, 128, 4}
  post matrix 1
  post matrix 2

  wait store 2
  store <256> dram 0x4800+1024*i0 {4} = nram 0x1000+(1024*i0) mod 2048 {4}
  post store 3
endloop
; The slots are free again, as they were at the start: no token may be left over.
wait load 1
wait load 1
wait matrix 3
wait matrix 3
end

; A small convolutional network, written by hand for the processor of docs/processor.md:
;
;   image 8x8, 4 channels -> convolution 3x3 to 8 channels, bias, ReLU -> maximum pooling 2x2 -> 10 outputs
;
; Every element has 4 bytes. Images lie row by row with the channels of a pixel next to each other.
;
; DRAM   0x0000  convolution: weights [8 filters][3 rows][3 columns][4 channels]     1152 bytes
;        0x0480  convolution: 8 biases                                                 32
;        0x04a0  fully connected layer: weights [10 outputs][4 rows][4 columns][8]   5120
;        0x18a0  fully connected layer: 10 biases                                      40
;        0x1980  image [8][8][4]; the 128 bytes before and after it are never written, so they are rows of zeros
;        0x1e00  result, 10 values                                                     40
; NRAM   0x0000  2 input tiles [4 rows][1 + 8 + 1 pixels][4], 640 bytes each
;        0x0500  8 + 10 biases
;        0x0600  2 convolution tiles [2 rows][8 pixels][8], 512 bytes each
;        0x0a00  pooled image [4][4][8]
;        0x0c00  result
; WRAM   0x0000  weights of the convolution; 0x0480 weights of the fully connected layer
;
; Two rows of the convolution are one row after pooling: one tile. Each tile needs 4 rows of the image, and of both kinds
; of tile there are two, so that one is filled while the other is used (double buffering). Tokens keep the queues apart:
;
;   0 input tile full    1 input tile free           4 pooled image whole     6 sums of the last layer done
;   2 convolution done   3 convolution tile free     5 weights of the last    7 result ready

; At the start all four tiles are free.
post matrix 1
post matrix 1
post vector 3
post vector 3

; The first and the last pixel of each row of an input tile are padding: zeros that no load will overwrite.
fill <8, 2, 4> nram 0x0 {160, 144, 4} = #0
load <288> wram 0x0 {4} = dram 0x0 {4}
load <8> nram 0x500 {4} = dram 0x480 {4}

loop 4
  ; Tile i0 reads rows 2*i0 - 1 to 2*i0 + 2 of the image; rows -1 and 8 are the zeros around it.
  wait load 1
  load <4, 32> nram 0x10+(640*i0) mod 1280 {160, 4} = dram 0x1900+256*i0 {128, 4}
  post load 0

  ; 2 rows x 8 pixels x 8 filters, each the sum of 3 rows x (3 pixels x 4 channels, which lie next to each other).
  wait matrix 0
  wait matrix 3
  contract <2, 8, 8, 3, 12> nram 0x600+(512*i0) mod 1024 {256, 32, 4, 0, 0} = nram 0x0+(640*i0) mod 1280 {160, 16, 0, 160, 4} * wram 0x0 {0, 0, 144, 48, 4}
  post matrix 1
  post matrix 2

  ; Bias, ReLU, and the maximum of each 2 x 2 pixels. The biases need no token: they were loaded before the tile, in order.
  wait vector 2
  vadd <16, 8> nram 0x600+(512*i0) mod 1024 {32, 4} = nram 0x600+(512*i0) mod 1024 {32, 4}, nram 0x500 {0, 4}
  vmax <128> nram 0x600+(512*i0) mod 1024 {4} = nram 0x600+(512*i0) mod 1024 {4}, #0
  rmax <4, 8, 2, 2> nram 0xa00+128*i0 {32, 4, 0, 0} = nram 0x600+(512*i0) mod 1024 {64, 4, 256, 32}
  post vector 3
endloop
post vector 4

; The weights of the last layer come after the tiles in the load queue, so they arrive while the convolution still runs.
load <10> nram 0x520 {4} = dram 0x18a0 {4}
load <1280> wram 0x480 {4} = dram 0x4a0 {4}
post load 5

; 10 sums of 128 products: the pooled image never leaves the chip.
wait matrix 4
wait matrix 5
contract <10, 128> nram 0xc00 {4, 0} = nram 0xa00 {0, 4} * wram 0x480 {512, 4}
post matrix 6

wait vector 6
vadd <10> nram 0xc00 {4} = nram 0xc00 {4}, nram 0x520 {4}
post vector 7

wait store 7
store <10> dram 0x1e00 {4} = nram 0xc00 {4}
; The slots are free again, as they were at the start: no token may be left over.
wait load 1
wait load 1
wait matrix 3
wait matrix 3
end

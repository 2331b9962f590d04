; A loop that depends on its data: square roots of 64 numbers by Newton's iteration, until no number changes any more.
;
;   x = (x + a / x) / 2,  as long as the largest |new - old| / new is not below 0.000001, at most 40 times
;
; DRAM   0x000  the numbers a, 64 float32;  0x100  their roots;  0x200  how many passes that took, an int32
; NRAM   0x000  a    0x100  x    0x200  the next x    0x300  the change    0x400  the largest    0x404  "done"    0x408  passes
;
; The vector instructions follow each other in one queue, so they need no token. sload waits until they are finished.

load <64> nram 0x0 {4} = dram 0x0 {4}
post load 0
wait vector 0
vmax <64> nram 0x100 {4} = nram 0x0 {4}, #1

again:
  vdiv <64> nram 0x200 {4} = nram 0x0 {4}, nram 0x100 {4}
  vadd <64> nram 0x200 {4} = nram 0x200 {4}, nram 0x100 {4}
  vmul <64> nram 0x200 {4} = nram 0x200 {4}, #0.5

  vsub <64> nram 0x300 {4} = nram 0x200 {4}, nram 0x100 {4}
  vabs <64> nram 0x300 {4} = nram 0x300 {4}
  vdiv <64> nram 0x300 {4} = nram 0x300 {4}, nram 0x200 {4}
  rmax <64> nram 0x400 {0} = nram 0x300 {4}
  vless <1> nram 0x404 {4} = nram 0x400 {4}, #0.000001
  vcopy <64> nram 0x100 {4} = nram 0x200 {4}

  ; Once more if "done" is 0 and fewer than 40 passes are behind us: 0 < 1 is 1, all else is 0.
  sload r1 = nram 0x404
  sadd r2 = r2, #1
  sless r3 = r2, #40
  sless r3 = r1, r3
jumpif r3, again

sstore nram.int32 0x408 = r2
store <64> dram 0x100 {4} = nram 0x100 {4}
store <1> dram.int32 0x200 {4} = nram.int32 0x408 {4}
end


`
imagePlaceholder*
dtype0*
shape:ÿÿÿÿÿÿÿÿÿ*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
G
logitsIdentityimage*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ"Ã
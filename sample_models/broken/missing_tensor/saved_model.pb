Ÿ
†u
.
Identity

input"T
output"T"	
Ttype
C
Placeholder
output"dtype"
dtypetype"
shapeshape:"serve*2.21.0£
\
xPlaceholder*
dtype0*
shape:ÿÿÿÿÿÿÿÿÿ*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ
>
yIdentityx*
T0*#
_output_shapes
:ÿÿÿÿÿÿÿÿÿ"Ã*n
serving_default[

x
x:0ÿÿÿÿÿÿÿÿÿ 
y
logits:0ÿÿÿÿÿÿÿÿÿtensorflow/serving/predict